/**
 * The body of a response as fetch gives it. What a test makes is a stream in JavaScript, which differs in two respects from the
 * runtime's own: it cannot be read into a buffer, and a break overtakes the bytes that wait in the branches of its tee.
 */

/** Where a stream's bytes come from: the next ones, or null at the end. */
type Next = () => Promise<Uint8Array | null>;

export function nativeBody(next: Next, cancel: () => void): ReadableStream<Uint8Array> {
  const body = byteStream(next, cancel);
  body.tee = () => {
    const branches: Branch[] = [{ waiting: [] }, { waiting: [] }];
    let end: { error: unknown } | 'end' | null = null;
    let pulling: Promise<void> | null = null;
    let left = 2;
    const pull = async () => {
      try {
        const bytes = await next();
        if (bytes === null) end = 'end';
        // Each branch has its own, since a buffer is given away with the bytes.
        else for (const { waiting } of branches) waiting.push(bytes.slice());
      } catch (error) {
        end = { error };
      }
      pulling = null;
    };
    const nextOf = async ({ waiting }: Branch): Promise<Uint8Array | null> => {
      for (;;) {
        if (waiting.length > 0) return joined(waiting.splice(0));
        if (end === 'end') return null;
        if (end !== null) throw end.error;
        pulling ??= pull();
        await pulling;
      }
    };
    const leave = () => {
      left -= 1;
      if (left === 0) cancel();
    };
    const [a, b] = branches.map((branch) => byteStream(() => nextOf(branch), leave));
    return [a!, b!];
  };
  return body;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

interface Branch {
  readonly waiting: Uint8Array[];
}

function byteStream(next: Next, cancel: () => void): ReadableStream<Uint8Array> {
  const source: UnderlyingByteSource = {
    type: 'bytes',
    async pull(controller) {
      const bytes = await next();
      if (bytes !== null) return controller.enqueue(bytes as Uint8Array<ArrayBuffer>);
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel,
  };
  return new ReadableStream(source, { highWaterMark: 0 }) as ReadableStream<Uint8Array>;
}
