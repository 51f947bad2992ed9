/** Result of a task that did not throw: it is done, or it is to run again after a pause. */
export type TaskResult = { done: true } | { done: false; retryInMs: number };

export const DONE: TaskResult = { done: true };
