/**
 * Virtual time. Everything that happens in a simulated world is a task. Tasks run one at a time, each until everything
 * that it woke is waiting again. So other tasks may run between any two awaits, and every run can be repeated.
 */
import { setFlagsFromString } from 'node:v8';
import { type Context, enter } from './context.ts';
import type { Life, Task, Timers } from './life.ts';

export class Scheduler implements Timers {
  nowMs: number;
  readonly #heap: Task[] = [];
  #order = 0;

  constructor(startMs: number) {
    this.nowMs = startMs;
  }

  after(delayMs: number, life: Life, run: () => void): Task {
    const task = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, life, run };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(task);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(task, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = task;
    return task;
  }

  /** Runs tasks in order until `done` returns true or none is left. Call it from a macrotask: see `drainMicrotasks`. */
  run(done: () => boolean): void {
    drainMicrotasks();
    while (this.#heap.length > 0 && !done()) {
      const task = this.#pop();
      if (task.run === null || !task.life.alive) continue;
      this.nowMs = task.atMs;
      if ('state' in task.life) enter(task.life as Context);
      task.run();
      drainMicrotasks();
    }
  }

  #pop(): Task {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Task, b: Task): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/**
 * Runs every promise reaction that is ready, as the end of a macrotask does, but without a turn of Node's event loop: a
 * request has some thirty tasks, and their turns would take as long as the request. V8 ignores this inside a microtask.
 */
export const drainMicrotasks: () => void = (() => {
  setFlagsFromString('--allow-natives-syntax');
  const drain = new Function('%PerformMicrotaskCheckpoint()') as () => void;
  setFlagsFromString('--no-allow-natives-syntax');
  return drain;
})();
