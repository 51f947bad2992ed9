/** The conversations that every client is led through, in words that no client's own text is needed for. */
import type { ScriptedAnswer } from '../../gpu-pool/emulator/scripted-answers.ts';

export type Answer = Partial<ScriptedAnswer>;
export type Call = ScriptedAnswer['calls'][number];

/** The calls that a scenario needs, as the client names its tools; null: it has none for it. */
export interface ClientTools {
  readFile(path: string): Call | null;
  /** Reads as much of a long file as a call may; default: `readFile`. */
  readLong?(path: string): Call;
  runCommand(command: string): Call | null;
  /** A call without arguments. */
  withoutArguments(): Call | null;
  /** Reads an image into the conversation. */
  readImage(path: string): Call | null;
  /** How it shortens a conversation that was refused for its length. */
  readonly recovers: 'by a summary' | 'by cutting it' | 'not by itself';
}

export interface Turn {
  readonly prompt: string;
  /** The model’s answers, request after request. */
  readonly answers: readonly Answer[];
  /** The model’s answers once a request was refused for its length. */
  readonly afterOverflow?: readonly Answer[];
  /** Path of an image that is sent with the prompt. */
  readonly image?: string;
  /** The client's last words; default: the last text that the model answers. null: the turn fails. */
  readonly says?: string | null;
}

export interface Scenario {
  readonly name: string;
  /** null: this client has no tool for it */
  turns(tools: ClientTools, workDir: string): readonly Turn[] | null;
  /** Tokens of the model's context; default: as it is sold. */
  readonly contextTokens?: number;
  /** A request has to be refused for its length. */
  readonly overflows?: boolean;
}

/** Enough to fill the context of the scenario `overflow`, also for a client that cuts what it reads. */
const LONG_FILES = 24;

function longFile(at: number): string {
  return `long-${at + 1}.txt`;
}

/** About 27,000 tokens of the emulator, in as many lines as clients read at once; as dense as the text that stands for it in a fixture. */
function longText(at: number): string {
  return `${at} ${'ab '.repeat(13)}\n`.repeat(1_900);
}

/** Files of the folder that agents work in. */
export const FILES: Readonly<Record<string, string>> = {
  'notes.txt': 'The meeting is on Tuesday.\n',
  'names.txt': 'Ada\nGrace\n',
  ...Object.fromEntries(Array.from({ length: LONG_FILES }, (_, at) => [longFile(at), longText(at)])),
};

/** A red pixel. */
export const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
export const IMAGE = 'pixel.png';

/** Longer than the clients' timers for idle streams, which are set to `IDLE_MS` where they can be. */
const SILENT_MS = 14_000;
export const IDLE_MS = 10_000;

const FINAL = 'That is all.';
const tools = (answer: Answer): Answer => ({ ...answer, for: 'with_tools' });
const final = (text: string): Answer => ({ thought: 'Now I know. ', text, for: 'with_tools' });

/** The words that a summary begins with, by which a compacted conversation is told. */
export const SUMMARY = '<summary>The user asked what the long file says; it repeats one line.</summary>';

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'tool-loop',
    turns({ readFile, runCommand }, dir) {
      const [read, run] = [readFile(`${dir}/notes.txt`), runCommand('wc -l names.txt')];
      if (read === null && run === null) return null;
      return [
        {
          prompt: 'When is the meeting, and how many names are there?',
          answers: [
            ...(read ? [tools({ thought: 'I read the notes. ', text: 'I look. ', calls: [read] })] : []),
            ...(run ? [tools({ thought: 'I count the names. ', calls: [run] })] : []),
            final('On Tuesday, and there are two names.'),
          ],
        },
      ];
    },
  },
  {
    name: 'long-thinking',
    turns: () => [
      {
        prompt: 'Think hard. Is 97 a prime?',
        answers: [tools({ thought: 'It is odd and no small prime divides it. '.repeat(400), text: 'Yes.' })],
      },
    ],
  },
  {
    name: 'parallel-calls',
    turns({ readFile }, dir) {
      const calls = ['notes.txt', 'names.txt'].map((file) => readFile(`${dir}/${file}`));
      if (calls.includes(null)) return null;
      return [
        {
          prompt: 'What do the two files say?',
          answers: [
            tools({ thought: 'Both at once. ', calls: calls as Call[] }),
            final('A day and two names.'),
          ],
        },
      ];
    },
  },
  {
    name: 'no-arguments',
    turns({ withoutArguments }) {
      const call = withoutArguments();
      if (call === null) return null;
      return [{ prompt: 'Look around.', answers: [tools({ calls: [call] }), final(FINAL)] }];
    },
  },
  {
    name: 'image',
    turns({ readImage }, dir) {
      const call = readImage(`${dir}/${IMAGE}`);
      if (call === null) return null;
      return [
        {
          prompt: 'What is in the picture?',
          answers: [tools({ calls: [call] }), final('I cannot see pictures.')],
        },
        { prompt: 'Go on.', answers: [final('I go on without it.')] },
      ];
    },
  },
  {
    name: 'image-in-message',
    turns: (_, dir) => [
      { prompt: 'What is in this picture?', image: `${dir}/${IMAGE}`, answers: [final('I cannot see it.')] },
      { prompt: 'Go on.', answers: [final('I go on without it.')] },
    ],
  },
  {
    name: 'resume',
    turns({ readFile }, dir) {
      const read = readFile(`${dir}/notes.txt`);
      return [
        {
          prompt: 'When is the meeting?',
          answers: [...(read ? [tools({ thought: 'I look. ', calls: [read] })] : []), final('On Tuesday.')],
        },
        { prompt: 'And the day after?', answers: [final('That is Wednesday.')] },
      ];
    },
  },
  {
    name: 'overflow',
    contextTokens: 70_000,
    overflows: true,
    turns({ readFile, readLong = readFile, recovers }, dir) {
      const reads = Array.from({ length: LONG_FILES }, (_, at) => readLong(`${dir}/${longFile(at)}`));
      if (reads.includes(null)) return null;
      const said = final('It repeats one line.');
      const after = recovers === 'by cutting it' ? [said] : [{ text: SUMMARY }, said];
      const answers = reads.map((read) => tools({ thought: 'On. ', calls: [read as Call] }));
      const turn = { prompt: 'What do the long files say?', answers };
      return [recovers === 'not by itself' ? { ...turn, says: null } : { ...turn, afterOverflow: after }];
    },
  },
  {
    name: 'silence',
    turns: () => [
      {
        prompt: 'Take your time.',
        answers: [tools({ thought: 'Slowly. ', text: 'Here I am.', waitMs: SILENT_MS })],
      },
    ],
  },
];
