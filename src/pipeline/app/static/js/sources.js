// Collects photos from a list of files, a drop, the clipboard, a folder or an archive.

const PHOTO = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])$/i;
const ARCHIVE = /\.(zip|tar|tgz|tar\.(gz|bz2|xz))$/i;

export const isPhoto = (file) => file.type.startsWith("image/") || PHOTO.test(file.name);
export const isArchive = (file) => ARCHIVE.test(file.name) || file.type === "application/zip";

/** Sorts files into { photos: [{ name, file }], archives, others (a count) }. Hidden ones do not count. */
export function sort(files) {
  const sorted = { photos: [], archives: [], others: 0 };
  for (const { name, file } of files) {
    if (name.split("/").some((part) => part.startsWith("."))) continue;
    if (isArchive(file)) sorted.archives.push(file);
    else if (isPhoto(file)) sorted.photos.push({ name, file });
    else sorted.others += 1;
  }
  sorted.photos.sort((a, b) => compare(a.name.split("/"), b.name.split("/")));
  return sorted;
}

/** Compares paths in the order of `animal predict`: the files of a folder, then the folders in it. */
function compare(a, b) {
  const at = a.findIndex((part, i) => part !== b[i]);
  const [last, other] = [a.length - 1 === at, b.length - 1 === at];
  if (last !== other) return last ? -1 : 1;
  return a[at] < b[at] ? -1 : 1;
}

export const fromList = (files) => [...files].map((file) => ({ name: file.webkitRelativePath || file.name, file }));

/** Reads all files of a drop, folders and all that lies below them included. */
export async function fromDrop(transfer) {
  // The entries have to be taken before anything is awaited: the browser empties the transfer.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return fromList(transfer.files);
  return (await Promise.all(entries.map((entry) => below(entry, "")))).flat();
}

async function below(entry, path) {
  const name = `${path}${entry.name}`;
  if (entry.isFile) return [{ name, file: await new Promise((ok, bad) => entry.file(ok, bad)) }];
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((ok, bad) => reader.readEntries(ok, bad)); // at most 100 at once
    if (!some.length) break;
    all.push(...some);
  }
  return (await Promise.all(all.map((one) => below(one, `${name}/`)))).flat();
}
