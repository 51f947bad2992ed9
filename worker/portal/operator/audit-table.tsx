/** The pool's latest audit entries: what was done, to which node, and by whom. */
import type { AuditRow } from '../../fleet/nodes.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { hardwareName } from './hardware-names.ts';

/** @param names of people and nodes, by id */
export function AuditTable(props: {
  c: PortalContext;
  rows: readonly AuditRow[];
  names: ReadonlyMap<string, string>;
}) {
  const { c, rows, names } = props;
  const { t, f } = words(c);
  return (
    <section aria-labelledby="audit">
      <h2 id="audit" class="mb-2">
        {t.pool.auditTitle}
      </h2>
      {rows.length === 0 ? (
        <p class="muted">{t.pool.auditEmpty}</p>
      ) : (
        <Sheet label={t.pool.auditTitle}>
          <Heads
            names={[
              t.pool.auditWhen,
              t.pool.auditActor,
              t.pool.auditAction,
              t.pool.auditSubject,
              t.pool.auditDetail,
            ]}
          />
          <tbody>
            {rows.map((row) => {
              const actorId = row.actor.replace(/^node:/, '');
              return (
                <tr>
                  <td>{f.dateTime(row.atMs)}</td>
                  <td class="max-w-56 truncate" title={row.actor}>
                    {names.get(actorId) ?? t.pool.auditActors[row.actor] ?? row.actor}
                  </td>
                  <td>{t.pool.auditActions[row.action] ?? row.action}</td>
                  <td class="max-w-56 truncate" title={row.subject}>
                    {names.get(row.subject) ?? row.detail.name ?? row.subject}
                  </td>
                  <td class="wraps min-w-72">{details(c, row)}</td>
                </tr>
              );
            })}
          </tbody>
        </Sheet>
      )}
    </section>
  );
}

/** The entry's details that no other column shows. */
function details(c: PortalContext, { detail }: AuditRow): string {
  const { t } = words(c);
  return Object.entries(detail)
    .filter(([name]) => name !== 'name' && name !== 'join')
    .map(([name, value]) => {
      if (value === null) return `${t.pool.auditDetails[name] ?? name}: –`;
      if (name === 'hardware') return hardwareName(String(value));
      if (name === 'url' || name === 'model') return String(value);
      return `${t.pool.auditDetails[name] ?? name}: ${value}`;
    })
    .join(', ');
}
