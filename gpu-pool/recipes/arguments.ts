/** Parsers of the command's options; each error says how to write the value. */
import { InvalidArgumentError } from 'commander';
import { judgeVersion, VERSION_MIN } from '../agent/sglang/version.ts';

/** Parses an origin; http is accepted only where the edge runs on this machine. */
export function edgeUrl(text: string): string {
  const url = URL.parse(text);
  if (url !== null && url.pathname === '/' && url.search + url.hash === '' && isSafe(url)) return url.origin;
  throw new InvalidArgumentError('Enter the origin of the edge, for example https://tollgate.example.com.');
}

export function publicUrl(text: string): string {
  const url = URL.parse(text);
  if (url !== null && url.pathname === '/' && url.search + url.hash === '' && url.protocol === 'https:')
    return url.origin;
  throw new InvalidArgumentError(
    "Enter the tunnel's public https URL without a path, for example https://node-1.example.com.",
  );
}

function isSafe({ protocol, hostname }: URL): boolean {
  return (
    protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname))
  );
}

/** Whether a token can go into a settings file, where a space or a line break would begin another setting. */
export function isToken(text: string): boolean {
  return /^[\w.~+/=-]+$/.test(text);
}

export function hostAndPort(text: string): string {
  const port = Number(/^(?:[\w.-]+|\[[\da-fA-F:]+\]):(\d{1,5})$/.exec(text)?.[1]);
  if (port > 0 && port < 65_536) return text;
  throw new InvalidArgumentError('Enter the address of rank 0 as host:port, for example 10.0.0.1:5000.');
}

export function directory(text: string): string {
  if (/^\/[\w./-]*$/.test(text)) return text.replace(/(?<=.)\/+$/, '');
  throw new InvalidArgumentError('Enter an absolute path of letters, digits, dots, dashes and underscores.');
}

export function commit(text: string): string {
  if (/^[\da-f]{40}$/.test(text)) return text;
  throw new InvalidArgumentError(
    'Enter the full commit of the model on Hugging Face, 40 hex digits: a branch can move.',
  );
}

/** Parses an image. If its tag names a version, it must be one that the agent accepts. */
export function image(text: string): string {
  if (!/^[\w.:/@-]+$/.test(text)) {
    throw new InvalidArgumentError('Enter a Docker image, for example lmsysorg/sglang:v0.5.23.');
  }
  if (judgeVersion(versionOf(text) ?? '') === 'old') {
    throw new InvalidArgumentError(
      `Choose SGLang ${VERSION_MIN} or newer: older versions keep generating after an abort.`,
    );
  }
  return text;
}

/** The version that the tag names; null where it names none (`latest`, a digest). */
export function versionOf(image: string): string | null {
  return /:v?(\d+\.\d+\.\d+(?:\.post\d+|rc\d+)?)/.exec(image)?.[1] ?? null;
}
