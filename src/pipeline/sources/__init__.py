"""What a collection of photos can be, told apart by what is found.

A folder of class folders stays where it is; an archive of one is unpacked, and a recipe followed,
into a folder of the pipeline's own. A further form is a file beside this one.
"""
