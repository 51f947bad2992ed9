/** How a task ended that did not throw: done, or to be run again after a while. */
export type TaskResult = { done: true } | { done: false; againInMs: number };

export const DONE: TaskResult = { done: true };
