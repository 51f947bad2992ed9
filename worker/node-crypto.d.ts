/** The one thing taken from Node's library (nodejs_compat): @types/node would bring its globals along. */
declare module 'node:crypto' {
  export function createHash(algorithm: 'sha256'): {
    update(data: string): { digest(encoding: 'hex'): string };
  };
}
