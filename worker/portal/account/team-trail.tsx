/** The audit trail of an account: what was done, by whom and when. */
import type { TrailRow } from '../../db/team.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

interface Props {
  readonly c: PortalContext;
  readonly trail: readonly TrailRow[];
  /** e-mail addresses of the people in the trail who still exist, by person id */
  readonly emails: ReadonlyMap<string, string>;
}

export function TeamTrail({ c, trail, emails }: Props) {
  const { t, f } = words(c);
  const names = t.team;
  const actorOf = (actor: string) => {
    if (/^operator-token(:|$)/.test(actor)) return names.operator;
    return emails.get(actor) ?? (actor.startsWith('key_') ? names.apiKey : names.someone);
  };
  return (
    <section aria-labelledby="trail" class="mt-12">
      <h2 id="trail" class="mb-4">
        {names.trailTitle}
      </h2>
      {trail.length === 0 ? (
        <p>{names.trailEmpty}</p>
      ) : (
        <Sheet label={names.trailTitle}>
          <Heads names={[names.when, names.who, names.what, names.about]} />
          <tbody>
            {trail.map((row) => (
              <tr>
                <td>{f.dateTime(row.atMs)}</td>
                <td>{actorOf(row.actor)}</td>
                <td>{names.actionNames[row.action] ?? row.action}</td>
                <td class="wraps">
                  <bdi>{aboutOf(row)}</bdi>
                  {row.detail.keys && (
                    <span class="muted block">{names.keysFate[String(row.detail.keys)]}</span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </Sheet>
      )}
    </section>
  );
}

/** The subject of the action: by e-mail or name where the row has one, by id otherwise. */
function aboutOf({ subject, detail }: TrailRow): string {
  return String(detail.email ?? detail.name ?? subject);
}
