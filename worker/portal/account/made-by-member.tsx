/** The question what becomes of the keys and webhooks of a member who loses the right to make them. */
import type { Fate } from '../../db/keys.ts';
import { FATES, type MadeThings } from '../../db/made-things.ts';
import { maskedApiKey } from '../../domain/api-key.ts';
import { nanoUsd } from '../../domain/money.ts';
import { SelectField } from '../components/field.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults } from '../frame/form.ts';

/** Keys that are listed; the decision is for all of them. */
const SHOWN_MAX = 50;

export function hasMade({ keys, endpoints }: MadeThings): boolean {
  return keys.length + endpoints.length > 0;
}

/** The fate that the form names; null: it names none. */
export function readFate(typed: Readonly<Record<string, string>>): Fate | null {
  return FATES.find((fate) => fate === typed.made) ?? null;
}

/** @param props.keeper e-mail of the person in whose name things would be kept */
export function MadeByMember(props: { c: PortalContext; made: MadeThings; keeper: string; faults?: Faults }) {
  const { c, made, keeper, faults } = props;
  const { t, f } = words(c);
  const names = t.team;
  if (!hasMade(made)) return null;
  return (
    <div class="grid gap-5">
      <p>{names.madeText}</p>
      {made.keys.length > 0 && <KeySheet c={c} made={made} />}
      {made.keys.length > SHOWN_MAX && (
        <p class="muted text-sm">{names.madeMore(f.count(SHOWN_MAX), f.count(made.keys.length))}</p>
      )}
      {made.endpoints.length > 0 && (
        <ul class="list-disc ps-5 text-sm">
          {made.endpoints.map(({ url }) => (
            <li class="break-all">
              {names.madeEndpoint} <bdi class="font-mono">{url}</bdi>
            </li>
          ))}
        </ul>
      )}
      <SelectField
        c={c}
        faults={faults}
        name="made"
        label={names.madeLabel}
        options={[
          ['', names.madeChoose],
          ['keep', names.madeKeep(keeper)],
          ['end', names.madeEnd],
        ]}
      />
    </div>
  );
}

function KeySheet({ c, made }: { c: PortalContext; made: MadeThings }) {
  const { t, f } = words(c);
  const names = t.team;
  return (
    <Sheet label={names.madeTitle}>
      <Heads names={[t.keys.name, t.keys.key, t.keys.created, t.keys.lastUsed, names.madeDid]} />
      <tbody>
        {made.keys.slice(0, SHOWN_MAX).map(({ id, name, scope, lastFour, createdAtMs, lastUsedAtMs }) => {
          const last = made.lastUses.get(id);
          return (
            <tr>
              <th scope="row" class="wraps">
                <bdi>{name}</bdi>
                {scope === 'management' && (
                  <span class="muted block text-xs font-normal">{t.keys.scopes.management}</span>
                )}
              </th>
              <td class="font-mono">{maskedApiKey(lastFour)}</td>
              <td>{f.date(createdAtMs)}</td>
              <td>{lastUsedAtMs === null ? t.keys.never : f.dateTime(lastUsedAtMs)}</td>
              <td class="wraps">
                {last
                  ? names.madeLast(
                      last.requests,
                      f.count(last.requests),
                      last.modelId,
                      f.usd(nanoUsd(last.chargeNanoUsd)),
                    )
                  : '–'}
              </td>
            </tr>
          );
        })}
      </tbody>
    </Sheet>
  );
}
