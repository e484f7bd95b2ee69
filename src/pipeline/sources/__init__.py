"""Reads collections of photos in many forms, identified by the files in them.

A folder stays where it is; an archive is unpacked, and a recipe followed, into a folder of the
pipeline's own. What names of folders, tables and JSON files say of the photos is read into
annotations, the same for every form. A further form is a file beside this one, and a line of
`forms.FORMS`.
"""
