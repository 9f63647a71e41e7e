/** The names in a data directory (STORAGE 1). Paths are joined with "/" on every disk, the simulated one included. */

/** Ends the name of a file that is not complete yet: it becomes usable by its renaming, and is removed at opening. */
export const unfinished = ".new";

export const lockPath = (dir: string): string => `${dir}/LOCK`;
export const superblockPath = (dir: string): string => `${dir}/superblock`;
export const writeModePath = (dir: string): string => `${dir}/write-mode`;
export const measurePath = (dir: string): string => `${dir}/measure${unfinished}`;
export const logDirectory = (dir: string): string => `${dir}/log`;
export const trashDirectory = (dir: string): string => `${dir}/trash`;

export const snapshotsDirectory = (dir: string): string => `${dir}/snapshots`;
export const snapshotDirectory = (dir: string, slot: number): string => `${snapshotsDirectory(dir)}/${slot}`;
export const manifestPath = (dir: string, slot: number): string => `${snapshotDirectory(dir, slot)}/manifest`;
export const chunkPath = (dir: string, slot: number, number: number): string =>
  `${snapshotDirectory(dir, slot)}/${String(number).padStart(4, "0")}`;
/** Of the machines' saved states, in a directory for each. They are written by others, and counted here. */
export const machinesDirectory = (dir: string): string => `${dir}/machines`;
export const reserveDirectory = (dir: string): string => `${dir}/reserve`;

export const segmentName = (generation: number): string => `${String(generation).padStart(8, "0")}.log`;
export const segmentPath = (dir: string, generation: number): string =>
  `${logDirectory(dir)}/${segmentName(generation)}`;

export const indexName = (generation: number): string => `${String(generation).padStart(8, "0")}.idx`;
export const indexPath = (dir: string, generation: number): string => `${logDirectory(dir)}/${indexName(generation)}`;

/** The generation whose index a name in log/ stands for; undefined for any other name. */
export function indexGenerationOf(name: string): number | undefined {
  const generation = Number.parseInt(name, 10);
  return name === indexName(generation) ? generation : undefined;
}

/** The generation that a name in log/ stands for; undefined for any other name. */
export function generationOf(name: string): number | undefined {
  const generation = Number.parseInt(name, 10);
  return name === segmentName(generation) ? generation : undefined;
}

export function parentOf(path: string): string {
  const end = path.lastIndexOf("/");
  if (end < 0) return ".";
  return end === 0 ? "/" : path.slice(0, end);
}
