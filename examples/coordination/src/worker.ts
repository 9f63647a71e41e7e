// A worker of which one at a time works. The others stand by, and the next one takes over when the leader resigns, dies or is cut off.
import { election, type Leadership, type Log } from "paxlog";

export class Worker {
  readonly name: string;
  readonly #log: Log;

  constructor(log: Log, name: string) {
    this.#log = log;
    this.name = name;
  }

  /** Waits until this worker leads. From then on the log refuses what earlier leaders still send. */
  async lead(): Promise<Leadership> {
    const leadership = await election(this.#log, "worker").campaign(this.name);
    await this.#log.fence(leadership.token);
    return leadership;
  }

  /**
   * One piece of work. `leadership.held` is a promise of this process's clock, the token is one of the log: a worker that was paused
   * between the two is refused (FENCED), however late it wakes up.
   */
  async work(leadership: Leadership, what: string): Promise<number> {
    const record = { type: "WorkDone", value: `${this.name}: ${what}` };
    const { position } = await this.#log.append(record, { fencingToken: leadership.token });
    return position;
  }
}
