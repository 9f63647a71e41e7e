// A store of files that a lock guards, and that looks at the lock's token itself: no lock service can stop a holder that was paused
// between its last look at the lock and its write. Whoever shows an older token than the store has seen is too late.
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";

interface StoredFile {
  readonly token: number;
  readonly text: string;
}

export class TooLate extends Error {}

export class FileStore {
  readonly #directory: string;
  /** One write after the other: the look at the token and the write are one step. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Durable when it resolves. Rejects with TooLate, and writes nothing, where a newer token was seen. */
  write(name: string, text: string, token: number): Promise<void> {
    const write = this.#last.then(() => this.#write(name, { token, text }));
    this.#last = write.catch(() => {});
    return write;
  }

  async read(name: string): Promise<string | undefined> {
    return (await this.#stored(name))?.text;
  }

  async #write(name: string, file: StoredFile): Promise<void> {
    const seen = (await this.#stored(name))?.token ?? 0;
    if (file.token < seen) throw new TooLate(`token ${file.token} came after ${seen}`);
    await mkdir(this.#directory, { recursive: true });
    // Beside it and renamed: a reader sees the file before or after, never half of it.
    const temporary = join(this.#directory, `${name}.new`);
    const handle = await open(temporary, "w");
    await handle.writeFile(JSON.stringify(file));
    await handle.sync();
    await handle.close();
    await rename(temporary, join(this.#directory, name));
    const directory = await open(this.#directory);
    await directory.sync();
    await directory.close();
  }

  async #stored(name: string): Promise<StoredFile | undefined> {
    try {
      return JSON.parse(await readFile(join(this.#directory, name), "utf8")) as StoredFile;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }
}
