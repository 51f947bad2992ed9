/** An e-mail as a mail service takes it, and the interface of such a service. */
import type { Attempt } from '../attempt.ts';

export interface Email {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface Mailer {
  send(email: Email): Promise<Attempt>;
}
