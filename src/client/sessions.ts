import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { SessionTerms } from "../format/session-codec.ts";
import { checkedSession } from "./append-options.ts";
import type { AppendPurpose } from "./append-stream.ts";
import type { AppenderContext } from "./appender.ts";
import { ClientSession, type GrantedSession } from "./client-session.ts";
import type { LeaderCalls } from "./leader-calls.ts";
import type { SessionOptions, SessionState } from "./log.ts";
import { momentNow } from "./session-life.ts";

/** The open sessions of one log. */
export class Sessions {
  readonly #context: AppenderContext;
  readonly #leader: LeaderCalls;
  /** Throws where the log is closed. */
  readonly #checkOpen: () => void;
  readonly #sessions = new Set<ClientSession>();
  /** Those on their way to be open. */
  #openingCount = 0;

  constructor(context: AppenderContext, leader: LeaderCalls, checkOpen: () => void) {
    this.#context = context;
    this.#leader = leader;
    this.#checkOpen = checkOpen;
  }

  async open(options: SessionOptions, purpose: AppendPurpose): Promise<ClientSession> {
    const { resume, signal, ...terms } = checkedSession(options);
    if (this.#sessions.size + this.#openingCount >= limits.clientSessionsMax) {
      const message = `${limits.clientSessionsMax} sessions are open: close one, or connect once more`;
      throw new PaxlogError("OVERLOADED", message, { facts: { limit: limits.clientSessionsMax } });
    }
    this.#openingCount += 1;
    try {
      const granted = resume === undefined ? await this.#opened(terms, signal) : await this.#resumed(resume, signal);
      this.#checkOpen();
      const session: ClientSession = new ClientSession({
        context: purpose === "execute" ? executing(this.#context) : this.#context,
        leader: this.#leader,
        granted,
        purpose,
        onEnd: () => this.#sessions.delete(session),
      });
      this.#sessions.add(session);
      return session;
    } finally {
      this.#openingCount -= 1;
    }
  }

  /** The log is closed. */
  async abandon(graceMs: number, reason: PaxlogError | undefined): Promise<void> {
    await Promise.all([...this.#sessions].map((each) => each.abandon(graceMs, reason)));
  }

  /** Where the answer is lost another one is opened: the log forgets the first when nobody gives a sign of life for it. */
  async #opened(terms: SessionTerms, signal: AbortSignal | undefined): Promise<GrantedSession> {
    const since = momentNow();
    const opened = await this.#leader.ask((link, bounds) => link.openSession(terms, bounds), signal);
    return { id: opened.session, ttlMs: opened.ttlMs, nextSerial: 1, since };
  }

  async #resumed({ id, nextSerial }: SessionState, signal: AbortSignal | undefined): Promise<GrantedSession> {
    const since = momentNow();
    const { ttlMs } = await this.#leader.ask((link, bounds) => link.keepSession(id, bounds), signal);
    return { id, ttlMs, nextSerial, since };
  }
}

/**
 * Few batches of commands are under way at once: those that are called meanwhile gather, and share a round and its replies. Many small
 * rounds cost every node more than they overlap.
 */
function executing(context: AppenderContext): AppenderContext {
  const { settings } = context;
  const inFlightBatches = Math.min(settings.inFlightBatches, limits.clientInFlightExecutes);
  return { ...context, settings: { ...settings, inFlightBatches } };
}
