/** A real client: how it is installed, started and asked, and what it calls its tools. */
import type { ClientTools } from './scenario.ts';

export interface Place {
  /** Address of the edge, without a path. */
  readonly url: string;
  readonly apiKey: string;
  readonly model: string;
  /** The client's home, a folder of its own. */
  readonly home: string;
  readonly workDir: string;
  /** Folder with `node_modules` and the virtual environments. */
  readonly installed: string;
}

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The client's last words, read from its output. */
  readonly says: (stdout: string) => string;
}

export interface Client {
  readonly name: string;
  /** The package whose version is stated. */
  readonly package: string;
  readonly tools: ClientTools;
  /** False for one whose conversation has no tools, so that its requests look like those beside a conversation. */
  readonly sendsTools?: boolean;
  /** False for one that cannot go on with a conversation: only its first turn is led through. */
  readonly goesOn?: boolean;
  /** Scenarios that it cannot be led through, with the reason. */
  readonly without?: Readonly<Record<string, string>>;
  /** Writes its settings. */
  configure?(place: Place): void;
  /** @param first whether a conversation begins or goes on */
  ask(place: Place, turn: { prompt: string; first: boolean; image?: string }): Command;
}

export function bin(place: Pick<Place, 'installed'>, name: string): string {
  return `${place.installed}/node_modules/.bin/${name}`;
}

/** The lines of an output that are JSON. */
// biome-ignore lint/suspicious/noExplicitAny: each client writes events of its own
export function jsonLines(stdout: string): any[] {
  return stdout.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line)];
    } catch {
      return [];
    }
  });
}
