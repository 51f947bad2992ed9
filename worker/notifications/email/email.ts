import type { Attempt } from '../attempt.ts';

export interface Email {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface Mailer {
  send(letter: Email): Promise<Attempt>;
}
