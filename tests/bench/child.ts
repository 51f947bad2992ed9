/** Child processes of the bench. Each answers calls over the IPC channel of `fork`, and ends when its parent has ended. */
import { type ChildProcess, fork } from 'node:child_process';

type Methods = Record<string, (argument: never) => unknown>;
type Call = { id: number; method: string; argument: unknown };
type Reply = { id: number; result?: unknown; error?: string };
type Note = { note: string };

export interface Child {
  readonly pid: number;
  /** Calls a method. @throws Error from the method, or when the process ends before it answers */
  call<Result>(method: string, argument?: unknown, onNote?: (note: string) => void): Promise<Result>;
  stop(): Promise<void>;
}

/** @param file the child's module in this folder */
export function startChild(file: string, env: Record<string, string> = {}): Child {
  const path = new URL(file, import.meta.url);
  const process_ = fork(path, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = new Promise<never>((_, reject) => {
    process_.once('error', reject);
    process_.once('exit', (code, signal) => reject(new Error(`${file} ended (${signal ?? code})`)));
  });
  exited.catch(() => undefined);
  let lastId = 0;
  return {
    pid: process_.pid!,
    call: <Result>(method: string, argument?: unknown, onNote?: (note: string) => void) => {
      const id = ++lastId;
      const replied = reply<Result>(process_, id, onNote);
      process_.send({ id, method, argument } satisfies Call);
      return Promise.race([replied, exited]);
    },
    stop: async () => {
      if (process_.connected) process_.disconnect();
      const killTimer = setTimeout(() => process_.kill('SIGKILL'), 10_000);
      await exited.catch(() => undefined);
      clearTimeout(killTimer);
    },
  };
}

function reply<Result>(process_: ChildProcess, id: number, onNote?: (note: string) => void): Promise<Result> {
  return new Promise((resolve, reject) => {
    const listen = (message: Reply | Note) => {
      if ('note' in message) return onNote?.(message.note);
      if (message.id !== id) return;
      process_.off('message', listen);
      if (message.error === undefined) resolve(message.result as Result);
      else reject(new Error(message.error));
    };
    process_.on('message', listen);
  });
}

/** Serves calls in the child. @param atEnd runs before the child exits */
export function answerCalls(methods: Methods, atEnd: () => unknown = () => undefined): void {
  process.on('message', async ({ id, method, argument }: Call) => {
    try {
      const result = await methods[method]!(argument as never);
      process.send!({ id, result } satisfies Reply);
    } catch (error) {
      process.send?.({ id, error: (error as Error).stack ?? String(error) } satisfies Reply);
    }
  });
  process.once('disconnect', async () => {
    await atEnd();
    process.exit(0);
  });
  // Ctrl-C signals parent and children at once; a child ignores it and ends when its parent disconnects
  process.on('SIGINT', () => undefined);
}

/** Sends a note to the caller of the running method, before its result. */
export function note(text: string): void {
  process.send!({ note: text } satisfies Note);
}
