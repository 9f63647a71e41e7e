/** What Chrome's format of a CPU profile holds, as far as it is used here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

export interface ThreadProfile {
  readonly thread: string;
  readonly milliseconds: number;
  /** Of the thread's time: waiting for something to do. A blocking call of the thread is not idle but the function that blocks. */
  readonly idlePercent: number;
  readonly collectionPercent: number;
  readonly top: readonly FunctionTime[];
}

export interface FunctionTime {
  readonly name: string;
  readonly place: string;
  readonly selfMilliseconds: number;
  /** Of the time that was not idle. */
  readonly percent: number;
}

/** Self time by function, the largest first. */
export function summarize(thread: string, profile: CpuProfile, topMax: number): ThreadProfile {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, { name: string; place: string; microseconds: number }>();
  let total = 0;
  for (const [index, id] of profile.samples.entries()) {
    const microseconds = Math.max(0, profile.timeDeltas[index] ?? 0);
    total += microseconds;
    const frame = frames.get(id);
    if (frame === undefined) continue;
    const name = frame.functionName === "" ? "(anonymous)" : frame.functionName;
    const place = frame.url === "" ? "" : `${shortUrl(frame.url)}:${frame.lineNumber + 1}`;
    const known = times.get(`${name} ${place}`);
    if (known === undefined) times.set(`${name} ${place}`, { name, place, microseconds });
    else known.microseconds += microseconds;
  }
  const of = (name: string) => times.get(`${name} `)?.microseconds ?? 0;
  const idle = of("(idle)");
  const busy = Math.max(1, total - idle);
  const top = [...times.values()]
    .filter(({ name }) => name !== "(idle)")
    .toSorted((a, b) => b.microseconds - a.microseconds)
    .slice(0, topMax)
    .map(({ name, place, microseconds }) => ({
      name,
      place,
      selfMilliseconds: microseconds / 1000,
      percent: (100 * microseconds) / busy,
    }));
  return {
    thread,
    milliseconds: total / 1000,
    idlePercent: (100 * idle) / Math.max(1, total),
    collectionPercent: (100 * of("(garbage collector)")) / Math.max(1, total),
    top,
  };
}

/** From the project's root, or from the package in node_modules. */
function shortUrl(url: string): string {
  const packaged = url.lastIndexOf("node_modules/");
  if (packaged >= 0) return url.slice(packaged + "node_modules/".length);
  return url.replace(/^.*?\/((bench\/)?dist\/)/, "$1");
}
