import { BrokenPromise } from "./recorder.ts";

/** What the writers append, each record a function of its writer and number: so every byte of a record can be told to be right. */
export interface Written {
  readonly writer: number;
  readonly number: number;
}

const fillerBytesMax = 1500;
export const tagCount = 7;

export const tagOfNumber = (number: number): string => `m${number % tagCount}`;

export function textOf({ writer, number }: Written): string {
  const head = `${writer}:${number}:`;
  const length = (writer * 7919 + number * 104_729) % fillerBytesMax;
  return head + head.repeat(Math.ceil(length / head.length)).slice(0, length);
}

/** @throws BrokenPromise where these bytes are not those of any record. */
export function writtenOf(value: Uint8Array, tags: readonly string[], position: number): Written {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
  const [writer, number] = text.split(":", 2).map(Number);
  const written = { writer: writer ?? -1, number: number ?? -1 };
  if (textOf(written) !== text) throw new BrokenPromise(`the record at ${position} has other bytes than were written`);
  if (tags.length !== 1 || tags[0] !== tagOfNumber(written.number)) {
    throw new BrokenPromise(
      `the record at ${position} has the tags ${tags.join()}, not ${tagOfNumber(written.number)}`,
    );
  }
  return written;
}

/** Which record stands at which position, as acknowledgements and readers say: they must all say the same. */
export class Ledger {
  /** By position, less 1: writer and number in one, or 0. */
  readonly #records: number[] = [];

  note(position: number, { writer, number }: Written, who: string): void {
    const record = 1 + number * writersMax + writer;
    const known = this.#records[position - 1];
    if (known !== undefined && known !== 0 && known !== record) {
      const [was, is] = [unpack(known), { writer, number }];
      throw new BrokenPromise(
        `${who}: position ${position} holds record ${is.number} of writer ${is.writer}, to another it was ${was.number} of ${was.writer}`,
      );
    }
    while (this.#records.length < position) this.#records.push(0);
    this.#records[position - 1] = record;
  }

  /** Everything below was acknowledged to its writer. */
  get end(): number {
    return this.#records.length + 1;
  }

  at(position: number): Written | undefined {
    const record = this.#records[position - 1];
    return record === undefined || record === 0 ? undefined : unpack(record);
  }

  /** Each writer's records stand in the order of their numbers, none twice, none left out. */
  checkOrder(): void {
    const next = new Map<number, number>();
    for (let position = 1; position < this.end; position += 1) {
      const written = this.at(position);
      if (written === undefined) throw new BrokenPromise(`nobody knows what stands at position ${position}`);
      const due = next.get(written.writer) ?? 0;
      if (written.number !== due) {
        throw new BrokenPromise(`record ${written.number} of writer ${written.writer} at ${position}: ${due} was due`);
      }
      next.set(written.writer, due + 1);
    }
  }
}

export const writersMax = 16;

function unpack(record: number): Written {
  return { writer: (record - 1) % writersMax, number: Math.floor((record - 1) / writersMax) };
}
