/** Lives and timers: what a task belongs to, and how a part of the world asks to be run later. */

/**
 * The life of an isolate, a Durable Object's instance or a node. A task belongs to one, and a task whose life has
 * ended never runs: nothing resumes after its host's death.
 */
export interface Life {
  alive: boolean;
}

/** The life of what belongs to no host, such as a message on its way: it never ends. */
export const WORLD: Life = { alive: true };

export interface Task {
  readonly atMs: number;
  /** Tasks of the same instant run in the order in which they were scheduled. */
  readonly order: number;
  readonly life: Life;
  /** null: cancelled */
  run: (() => void) | null;
}

/** Virtual time as the parts of a world use it; scheduler.ts implements it. */
export interface Timers {
  readonly nowMs: number;
  /** @param delayMs may be fractional, which keeps tasks apart */
  after(delayMs: number, life: Life, run: () => void): Task;
}
