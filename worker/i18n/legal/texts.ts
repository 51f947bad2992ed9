/**
 * The form of the legal texts: /privacy and /terms in one language. The files beside this one are the texts themselves,
 * and an installation edits them; docs/deploy.md says how.
 */
import type { RetainedKind } from '../../domain/retention.ts';

/** The party that runs this installation, from its settings. */
export interface Operator {
  readonly name: string;
  /** Name and address in one line. */
  readonly address: string;
  /** null: the operator is reached at the address. */
  readonly contactEmail: string | null;
}

export interface LegalSection {
  readonly title: string;
  readonly paragraphs: readonly string[];
}

export interface LegalPage {
  readonly title: string;
  readonly lead: string;
  readonly sections: (operator: Operator) => readonly LegalSection[];
}

export interface RetentionText {
  /** The data, and the event from which its time counts. */
  readonly what: string;
  readonly why: string;
}

export interface LegalTexts {
  readonly privacy: LegalPage;
  readonly terms: LegalPage;
  readonly retention: {
    readonly title: string;
    readonly lead: string;
    readonly what: string;
    readonly term: string;
    readonly why: string;
    /** A number of days, in years where it is a year or more. */
    readonly days: (days: number) => string;
    readonly kinds: Readonly<Record<RetainedKind, RetentionText>>;
    /** Data without a number of days. */
    readonly others: readonly (RetentionText & { readonly term: string })[];
  };
  /** Under the form that creates an account: text, link, text, link, text. */
  readonly accept: readonly [string, string, string, string, string];
}
