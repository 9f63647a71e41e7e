import { limits } from "../../base/limits.ts";
import { type ByteString, byteStringOf, bytesOf, emptyByteString } from "../byte-string.ts";
import { jsonCodec } from "../json-codec.ts";
import type { ApplyContext } from "../machine.ts";
import type {
  KeyedValue,
  ProcedureKeys,
  ProcedurePutOptions,
  ProcedureRangeOptions,
  Procedures,
  ProcedureTransaction,
} from "../procedures.ts";
import { isThenable } from "../replica.ts";
import type { KeyInterval } from "./ordered-keys.ts";
import { Refused, type SpaceWork } from "./space-work.ts";

/** @returns what the procedure returned, as JSON. @throws Refused where it did not come to its end: the work is to be undone. */
export function callProcedure(
  work: SpaceWork,
  procedures: Procedures | undefined,
  name: string,
  args: Uint8Array,
  at: ApplyContext,
): Uint8Array {
  const table = procedures?.table;
  if (table === undefined || !Object.hasOwn(table, name)) {
    return work.refuse("PROCEDURE_UNKNOWN", `there is no procedure ${JSON.stringify(name)}`);
  }
  const transaction = new CallTransaction(work, name, at);
  const result = transaction.run(() => {
    const returned = table[name]!(transaction, argumentsOf(args));
    if (isThenable(returned)) throw new Error("it returned a promise: what it does must be done when it returns");
    return jsonOf(returned ?? null);
  });
  if (result.length > limits.objectValueBytesMax) {
    const message = `${name}: its result has ${result.length} bytes, more than ${limits.objectValueBytesMax}`;
    work.refuse("TRANSACTION_TOO_LARGE", message);
  }
  return result;
}

function argumentsOf(args: Uint8Array): unknown {
  try {
    return args.length === 0 ? null : jsonCodec.decode(args);
  } catch {
    throw new Error("its arguments are no JSON");
  }
}

/** What a procedure is handed. Of no use once the call is over. */
class CallTransaction implements ProcedureTransaction {
  readonly #work: SpaceWork;
  readonly #name: string;
  readonly #at: ApplyContext;
  #steps = 0;
  #over = false;

  constructor(work: SpaceWork, name: string, at: ApplyContext) {
    this.#work = work;
    this.#name = name;
    this.#at = at;
  }

  /** Whatever is thrown is a refusal. */
  run<Result>(call: () => Result): Result {
    try {
      return call();
    } catch (cause) {
      if (cause instanceof Refused) throw cause;
      return this.#work.refuse("PROCEDURE_FAILED", `${this.#name}: ${reasonOf(cause)}`);
    } finally {
      this.#over = true;
    }
  }

  get position(): number {
    return this.#at.position;
  }

  get time(): number {
    return this.#at.time;
  }

  get session(): number {
    return this.#at.session;
  }

  random(): number {
    return this.#at.random();
  }

  get<Value = unknown>(key: string): Value | undefined {
    this.#step();
    const stored = this.#work.get(keyOf(key));
    return stored === undefined ? undefined : (storedJson(key, stored.value) as Value);
  }

  getBytes(key: string): Uint8Array | undefined {
    this.#step();
    const stored = this.#work.get(keyOf(key));
    return stored === undefined ? undefined : bytesOf(stored.value);
  }

  put(key: string, value: unknown, options: ProcedurePutOptions = {}): void {
    this.putBytes(key, jsonOf(value), options);
  }

  putBytes(key: string, value: Uint8Array, { bound = false }: ProcedurePutOptions = {}): void {
    this.#step();
    if (value.length > limits.objectValueBytesMax) {
      this.#tooLarge(`a value has ${value.length} bytes, more than ${limits.objectValueBytesMax}`);
    }
    this.#work.put(keyOf(key), byteStringOf(value), bound);
  }

  delete(key: string): boolean {
    this.#step();
    return this.#work.delete(keyOf(key));
  }

  range<Value = unknown>(keys: ProcedureKeys, options: ProcedureRangeOptions = {}): readonly KeyedValue<Value>[] {
    this.#step();
    const { limit = Number.POSITIVE_INFINITY, reverse = false } = options;
    const found: KeyedValue<Value>[] = [];
    for (const key of this.#work.space.keys(intervalOf(keys), reverse)) {
      if (found.length >= limit) break;
      const text = textOf(key);
      found.push({ key: text, value: storedJson(text, this.#work.get(key)!.value) as Value });
    }
    return found;
  }

  refuse(reason: string): never {
    return this.#work.refuse("PROCEDURE_FAILED", `${this.#name}: ${bounded(String(reason))}`);
  }

  #step(): void {
    if (this.#over) throw new Error("the call of the procedure is over");
    this.#steps += 1;
    if (this.#steps > limits.procedureStepsMax) this.#tooLarge(`it made more than ${limits.procedureStepsMax} steps`);
  }

  #tooLarge(what: string): never {
    return this.#work.refuse("TRANSACTION_TOO_LARGE", `${this.#name}: ${what}`);
  }
}

/** @throws Error for what is no key. */
export function keyOf(key: string): ByteString {
  const bytes = Buffer.from(String(key));
  if (bytes.length >= 1 && bytes.length <= limits.objectNameBytesMax) return byteStringOf(bytes);
  throw new Error(`a key must have 1 to ${limits.objectNameBytesMax} bytes, not ${bytes.length}`);
}

export const textOf = (key: ByteString): string => Buffer.from(key, "latin1").toString();

export function intervalOf(keys: ProcedureKeys): KeyInterval {
  if (!("prefix" in keys)) return { begin: keyOf(keys.from), end: keys.to === undefined ? undefined : keyOf(keys.to) };
  if (keys.prefix === "") return { begin: emptyByteString, end: undefined };
  const begin = keyOf(keys.prefix);
  // UTF-8 has no byte 255, so the last byte can always be raised.
  const last = begin.charCodeAt(begin.length - 1);
  return { begin, end: (begin.slice(0, -1) + String.fromCharCode(last + 1)) as ByteString };
}

/** @throws Error where the value is no JSON: somebody else may have put it. */
export function storedJson(key: string, value: ByteString): unknown {
  try {
    return jsonCodec.decode(bytesOf(value));
  } catch {
    throw new Error(`the value of ${JSON.stringify(key)} is no JSON`);
  }
}

/** In words that are the same everywhere: those of the codec, which looks at a value before the engine does. */
function jsonOf(value: unknown): Uint8Array {
  try {
    return jsonCodec.encode(value);
  } catch (cause) {
    throw new Error(cause instanceof Error ? cause.message : String(cause));
  }
}

const errorsOfTheEngine: readonly (new () => Error)[] = [TypeError, RangeError, ReferenceError, SyntaxError, EvalError];

/**
 * Why a procedure failed, in the same words on every node: those of its author. What the engine has to say of a fault in the code
 * differs from one version of Node to the other, and is left out.
 */
function reasonOf(cause: unknown): string {
  const isEngines = errorsOfTheEngine.some((each) => cause instanceof each);
  if (isEngines) return `it threw ${(cause as Error).name}: a fault of the procedure`;
  return bounded(cause instanceof Error ? String(cause.message) : String(cause));
}

const bounded = (text: string): string => text.slice(0, limits.refusalTextMax);
