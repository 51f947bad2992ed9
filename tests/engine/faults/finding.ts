/** One comparison under a fault: the expected text and the one that was seen. */
export interface Finding {
  /** The fault, such as `agent killed`. */
  readonly fault: string;
  /** A sentence without its subject. */
  readonly what: string;
  readonly expected: string;
  readonly seen: string;
  readonly holds: boolean;
}

/** A collector of one fault's findings. */
export type Find = (what: string, expected: unknown, seen: unknown, holds?: boolean) => void;

/** Collects findings; without `holds` one holds when what was seen is, as text, what was expected. */
export function collector(fault: string, onFinding: (finding: Finding) => void): Find {
  return (what, expected, seen, holds = `${expected}` === `${seen}`) =>
    onFinding({ fault, what, expected: `${expected}`, seen: `${seen}`, holds });
}

export function lineOf({ fault, what, expected, seen, holds }: Finding): string {
  return `${holds ? 'ok     ' : 'DIFFERS'} ${fault.padEnd(18)} ${what}\n    expected ${expected} · seen ${seen}`;
}
