/** An assumption that needs the agent and the edge in front of the engine. */
import type { Assumption, Verdict } from './assumption.ts';
import type { EdgeSubject } from './edge-subject.ts';
import type { Subject } from './subject.ts';

export interface EdgeExamined extends Subject {
  readonly edge: EdgeSubject;
}

export interface EdgeAssumption extends Omit<Assumption, 'check'> {
  check(subject: EdgeExamined): Promise<Verdict>;
}

/** The same assumption as one that is checked like all others. */
export function through(edge: EdgeSubject, assumption: EdgeAssumption): Assumption {
  return { ...assumption, check: (subject) => assumption.check({ ...subject, edge }) };
}
