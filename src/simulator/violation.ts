/** A broken promise of the product, found by a check. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export function check(condition: boolean, describe: () => string): asserts condition {
  if (!condition) throw new Violation(describe());
}
