/** What was done to the pool lately, and by whom. */
import type { AuditRow } from '../../fleet/nodes.ts';
import { type PortalContext, words } from '../context.ts';
import { Heads, Sheet } from './sheet.tsx';

export function AuditTable({ c, rows }: { c: PortalContext; rows: readonly AuditRow[] }) {
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
            {rows.map((row) => (
              <tr>
                <td>{f.dateTime(row.atMs)}</td>
                <td class="max-w-32 truncate font-mono" title={row.actor}>
                  {row.actor}
                </td>
                <td>{row.action}</td>
                <td class="font-mono">{row.subject}</td>
                <td class="wraps">
                  {Object.entries(row.detail)
                    .map(([name, value]) => `${name}: ${value ?? '–'}`)
                    .join(', ')}
                </td>
              </tr>
            ))}
          </tbody>
        </Sheet>
      )}
    </section>
  );
}
