/** The team: members with their roles, open invitations, and the account's audit trail. */
import { Hono } from 'hono';
import * as z from 'zod';
import { emailsOf } from '../../db/account-limits.ts';
import { database } from '../../db/client.ts';
import { listMadeThings, type MadeThings } from '../../db/made-things.ts';
import {
  accountTrail,
  changeRole,
  type InvitationRow,
  listMembers,
  type MemberRow,
  openInvitations,
  removeMember,
  revokeInvitation,
} from '../../db/team.ts';
import { isId } from '../../domain/ids.ts';
import { isLastOwner, MEMBER_ROLES, type MemberRole } from '../../domain/team.ts';
import { invite } from '../../identity/team.ts';
import { sendsEmail } from '../../notifications/email/send.ts';
import { EmailForm } from '../auth/ask-email.tsx';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, type Faults, readForm, type Typed, typedFields } from '../frame/form.ts';
import { allowed, mayWrite, rememberAccount, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { hasMade, MadeByMember, readFate } from './made-by-member.tsx';
import { TeamTrail } from './team-trail.tsx';

const TRAIL_SHOWN = 50;

const RoleForm = z.object({ role: Choice(MEMBER_ROLES) });
const InviteForm = EmailForm.extend(RoleForm.shape);

export const teamPage = new Hono<PortalEnv>();

teamPage.use(signedIn);
// leaving an account and switching to another need no right, because they change nothing for the others
teamPage.use('/', allowed('team'));
teamPage.use('/members/:personId/role', allowed('team'));
teamPage.use('/invitations/*', allowed('team'));

teamPage.get('/', (c) => show(c, {}));

teamPage.post('/', async (c) => {
  const read = await readForm(c, InviteForm);
  if (!read.ok) return show(c, read);
  const refusal = await invite(c.env, {
    ...read.values,
    ...here(c),
    invitedBy: c.get('person')!,
    locale: words(c).locale,
    headers: c.req.raw.headers,
  });
  if (refusal === null) return c.redirect('/team?done=invited', 303);
  const { typed } = read;
  if (refusal.reason === 'too_many_attempts') return show(c, { typed, waitMs: refusal.retryAfterMs });
  const fault = refusal.reason === 'unconfirmed' ? 'invitation_unconfirmed' : refusal.reason;
  return show(c, { typed, faults: { email: fault } });
});

teamPage.post('/members/:personId/role', async (c) => {
  const typed = await typedFields(c);
  const read = RoleForm.safeParse({ role: typed.role });
  const member = await memberOf(c, c.req.param('personId'));
  if (!member || !read.success) return notFoundPage(c);
  const { role } = read.data;
  const { accountId, nowMs } = here(c);
  const { personId, email } = member;
  const fate = readFate(typed);
  const detail = { email, from: member.role, to: role, ...(fate && { keys: fate }) };
  const changed = await changeRole(database(c.env), {
    accountId,
    personId,
    role,
    fate,
    keeper: (await keeperFor(c, personId)).personId,
    entry: { ...auditEntry(c, nowMs), action: 'member.role', subject: personId, detail },
  });
  if (changed || member.role === role) return c.redirect('/team?done=saved', 303);
  const made = await listMadeThings(database(c.env), { accountId, personId }, { role, nowMs });
  if (fate === null && hasMade(made) && typed.made !== undefined)
    return askRoleChange(c, { member, role, made, faults: { made: 'choice' } });
  if (fate === null && hasMade(made)) return askRoleChange(c, { member, role, made });
  return show(c, { faults: { role: 'last_owner' } });
});

teamPage.get('/members/:personId/remove', async (c) => {
  const member = await removableMember(c);
  return member ? askRemoval(c, member) : notFoundPage(c);
});

teamPage.post('/members/:personId/remove', async (c) => {
  const member = await removableMember(c);
  if (!member) return notFoundPage(c);
  const fate = readFate(await typedFields(c));
  const { accountId, nowMs } = here(c);
  const { personId, email } = member;
  const detail = { email, ...(fate && { keys: fate }) };
  const removed = await removeMember(database(c.env), {
    accountId,
    personId,
    fate,
    keeper: (await keeperFor(c, personId)).personId,
    entry: { ...auditEntry(c, nowMs), action: 'member.removed', subject: personId, detail },
  });
  if (!removed) return askRemoval(c, member, { wasRefused: true, isDecided: fate !== null });
  return c.redirect(personId === c.get('person')!.id ? '/start' : '/team?done=removed', 303);
});

teamPage.post('/invitations/:invitationId/revoke', async (c) => {
  const { accountId, nowMs } = here(c);
  const invitationId = c.req.param('invitationId');
  const entry = { ...auditEntry(c, nowMs), action: 'invitation.revoked', subject: invitationId, detail: {} };
  const revoked =
    isId('inv', invitationId) &&
    (await revokeInvitation(database(c.env), { accountId, invitationId, nowMs, entry }));
  return revoked ? c.redirect('/team?done=revoked', 303) : notFoundPage(c);
});

teamPage.post('/switch', async (c) => {
  const { accountId = '' } = await typedFields(c);
  if (!c.get('memberships').some((each) => each.accountId === accountId)) return notFoundPage(c);
  rememberAccount(c, accountId);
  return c.redirect('/usage', 303);
});

/** The account that the page shows, and the current time. */
function here(c: PortalContext) {
  const accountId = c.get('accountId');
  const { accountName } = c.get('memberships').find((each) => each.accountId === accountId)!;
  return { accountId, accountName, nowMs: Date.now() };
}

/** The part of an audit entry that all actions of this page share. */
function auditEntry(c: PortalContext, atMs: number) {
  return { atMs, actor: c.get('person')!.id, accountId: c.get('accountId') };
}

async function memberOf(c: PortalContext, personId: string): Promise<MemberRow | undefined> {
  const members = await listMembers(database(c.env), c.get('accountId'));
  return members.find((each) => each.personId === personId);
}

/** The member that the path names, if this person may remove them: owners remove anybody, others only themselves. */
async function removableMember(c: PortalContext): Promise<MemberRow | undefined> {
  const personId = c.req.param('personId') ?? '';
  const mayRemove = mayWrite(c, 'team') || personId === c.get('person')!.id;
  return mayRemove ? memberOf(c, personId) : undefined;
}

const DONE = ['invited', 'saved', 'removed', 'revoked'] as const;

/** The page of the team; also the answer to a wrong name of the account, which account.tsx changes. */
export async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults; waitMs?: number }) {
  const { t } = words(c);
  const names = t.team;
  const { accountId, accountName, nowMs } = here(c);
  const db = database(c.env);
  const [members, invitations, trail] = await Promise.all([
    listMembers(db, accountId),
    openInvitations(db, accountId, nowMs),
    accountTrail(db, accountId, TRAIL_SHOWN),
  ]);
  const emails = await emailsOf(
    db,
    trail.map(({ actor }) => actor),
  );
  const isOwner = mayWrite(c, 'team');
  const done = DONE.find((each) => each === c.req.query('done'));
  const { faults, waitMs = 0 } = state;
  return page(
    c,
    { title: names.title, status: waitMs > 0 ? 429 : faults ? 422 : 200, back: '/team' },
    <>
      <h1 class="mb-2">
        {names.title} <bdi class="muted font-normal">{accountName}</bdi>
      </h1>
      <p class="mb-8">{names.lead}</p>
      {done && <Callout tone="success">{names[done]}</Callout>}
      {waitMs > 0 && <TooManyAttempts c={c} waitMs={waitMs} />}
      {faults && <Callout tone="error">{faults.role ? t.faults[faults.role] : t.faults.summary}</Callout>}
      <Members c={c} members={members} isOwner={isOwner} />
      <dl class="muted mt-4 grid gap-x-4 gap-y-1 text-sm sm:grid-cols-[max-content_1fr]">
        {MEMBER_ROLES.map((role) => (
          <>
            <dt class="font-medium">{names.roles[role]}</dt>
            <dd>{names.rights[role]}</dd>
          </>
        ))}
      </dl>
      {isOwner && <Invite c={c} {...state} />}
      {isOwner && (
        <form method="post" action="/account/name" class="mt-12 flex max-w-xl flex-wrap items-end gap-3">
          <div class="grow">
            <TextField
              c={c}
              {...state}
              name="accountName"
              label={names.accountName}
              value={accountName}
              required
            />
          </div>
          <button class="btn" type="submit">
            {names.rename}
          </button>
        </form>
      )}
      {invitations.length > 0 && <Invitations c={c} invitations={invitations} isOwner={isOwner} />}
      <AccountSwitch c={c} />
      <TeamTrail c={c} trail={trail} emails={emails} />
    </>,
  );
}

function roleOptions(c: PortalContext) {
  const { roles } = words(c).t.team;
  return MEMBER_ROLES.map((role) => [role, roles[role]] as const);
}

function Members(props: { c: PortalContext; members: readonly MemberRow[]; isOwner: boolean }) {
  const { c, members, isOwner } = props;
  const { t } = words(c);
  const names = t.team;
  const me = c.get('person')!.id;
  return (
    <Sheet label={names.title}>
      <Heads names={[names.member, names.role, names.secondFactor, names.actions]} />
      <tbody>
        {members.map(({ personId, name, email, role, twoFactor }) => (
          <tr>
            <th scope="row" class="wraps">
              <bdi>{name}</bdi>
              <span class="muted block font-normal">
                {email}
                {personId === me && ` (${names.you})`}
              </span>
            </th>
            <td>
              {isOwner ? (
                <form
                  method="post"
                  action={`/team/members/${personId}/role`}
                  class="flex flex-col items-start gap-2 sm:flex-row"
                >
                  <select name="role" class="select select-sm w-36" aria-label={names.roleOf(email)}>
                    {roleOptions(c).map(([value, text]) => (
                      <option value={value} selected={value === role}>
                        {text}
                      </option>
                    ))}
                  </select>
                  <button class="btn btn-sm" type="submit">
                    {names.change}
                  </button>
                </form>
              ) : (
                names.roles[role]
              )}
            </td>
            <td>{twoFactor ? names.on : names.off}</td>
            <td>{actionOf(personId, email, role)}</td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );

  function actionOf(personId: string, email: string, role: MemberRole) {
    const isLast = isLastOwner(
      role,
      members.map((each) => each.role),
    );
    if (isLast || !(isOwner || personId === me)) return '–';
    return (
      <a class="link" href={`/team/members/${personId}/remove`} aria-label={names.removeOf(email)}>
        {personId === me ? names.leave : names.remove}
      </a>
    );
  }
}

/** The person in whose name a member's keys are kept: the one who acts, or an owner if that is the member. */
async function keeperFor(c: PortalContext, personId: string): Promise<MemberRow> {
  const members = await listMembers(database(c.env), c.get('accountId'));
  const me = c.get('person')!.id;
  const isKeeper = (each: MemberRow) =>
    personId === me ? each.role === 'owner' && each.personId !== me : each.personId === me;
  // Without another owner the change is refused, so nothing is kept.
  return members.find(isKeeper) ?? members[0]!;
}

/** Asks before a member is removed. @param attempt a removal that was refused, and whether it named a fate of the keys */
async function askRemoval(
  c: PortalContext,
  member: MemberRow,
  attempt: { wasRefused: boolean; isDecided: boolean } = { wasRefused: false, isDecided: false },
) {
  const { t } = words(c);
  const names = t.team;
  const { accountId, accountName, nowMs } = here(c);
  const { personId, email } = member;
  const isMe = personId === c.get('person')!.id;
  const made = await listMadeThings(database(c.env), { accountId, personId }, { role: null, nowMs });
  const isUndecided = attempt.wasRefused && !attempt.isDecided && hasMade(made);
  return askWithMade(c, {
    title: isMe ? names.leaveTitle(accountName) : names.removeTitle(email),
    text: isMe ? null : names.removeText,
    status: attempt.wasRefused ? 422 : 200,
    isLastOwner: attempt.wasRefused && !isUndecided,
    submit: isMe ? names.leave : names.removeSubmit,
    made,
    keeper: (await keeperFor(c, personId)).email,
    faults: isUndecided ? { made: 'choice' } : {},
  });
}

/** Asks what becomes of the keys of a member whose new role has no right to them. */
async function askRoleChange(
  c: PortalContext,
  asked: { member: MemberRow; role: MemberRole; made: MadeThings; faults?: Faults },
) {
  const { t } = words(c);
  const names = t.team;
  const { member, role, made, faults = {} } = asked;
  return askWithMade(c, {
    title: names.roleTitle(member.email, names.roles[role]),
    text: null,
    status: 422,
    isLastOwner: false,
    submit: names.change,
    made,
    keeper: (await keeperFor(c, member.personId)).email,
    faults,
    role,
  });
}

interface Question {
  readonly title: string;
  readonly text: string | null;
  readonly status: 200 | 422;
  readonly isLastOwner: boolean;
  readonly submit: string;
  readonly made: MadeThings;
  readonly keeper: string;
  readonly faults: Faults;
  /** the role that the form sends on; absent: it removes the member */
  readonly role?: MemberRole;
}

function askWithMade(c: PortalContext, question: Question) {
  const names = words(c).t.team;
  const { title, text, status, isLastOwner: wasLastOwner, submit, made, keeper, faults, role } = question;
  return page(
    c,
    { title, narrow: !hasMade(made), status, back: '/team' },
    <>
      <h1 class="mb-3">
        <bdi>{title}</bdi>
      </h1>
      {wasLastOwner && <Callout tone="error">{names.lastOwner}</Callout>}
      {text && <p class="mb-6">{text}</p>}
      <form method="post" class="grid gap-6">
        {role && <input type="hidden" name="role" value={role} />}
        <MadeByMember c={c} made={made} keeper={keeper} faults={faults} />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-error" type="submit">
            {submit}
          </button>
          <a class="btn" href="/team">
            {names.keep}
          </a>
        </div>
      </form>
    </>,
  );
}

function Invite({ c, typed, faults }: { c: PortalContext; typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.team;
  const fields = { c, typed: typed ?? { role: 'developer' }, faults };
  return (
    <section aria-labelledby="invite" class="mt-12 max-w-3xl">
      <h2 id="invite" class="mb-4">
        {names.inviteTitle}
      </h2>
      {sendsEmail(c.env) ? (
        <form method="post" action="/team" class="grid items-start gap-5 sm:grid-cols-[2fr_1fr]" novalidate>
          <TextField {...fields} name="email" label={names.email} type="email" required />
          <SelectField {...fields} name="role" label={names.role} options={roleOptions(c)} />
          <div>
            <button class="btn btn-primary" type="submit">
              {names.invite}
            </button>
          </div>
        </form>
      ) : (
        <p>{t.people.noEmail}</p>
      )}
    </section>
  );
}

function Invitations(props: { c: PortalContext; invitations: readonly InvitationRow[]; isOwner: boolean }) {
  const { c, invitations, isOwner } = props;
  const { t, f } = words(c);
  const names = t.team;
  return (
    <section aria-labelledby="waiting" class="mt-12">
      <h2 id="waiting" class="mb-4">
        {names.waitingTitle}
      </h2>
      <Sheet label={names.waitingTitle}>
        <Heads names={[names.email, names.role, names.expires, names.actions]} />
        <tbody>
          {invitations.map(({ id, email, role, expiresAtMs }) => (
            <tr>
              <th scope="row" class="font-normal">
                {email}
              </th>
              <td>{names.roles[role]}</td>
              <td>{f.dateTime(expiresAtMs)}</td>
              <td>
                {isOwner ? (
                  <form method="post" action={`/team/invitations/${id}/revoke`}>
                    <button class="link" type="submit" aria-label={names.revokeOf(email)}>
                      {names.revoke}
                    </button>
                  </form>
                ) : (
                  '–'
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </Sheet>
    </section>
  );
}

/** The choice between accounts, for a person who belongs to several. */
function AccountSwitch({ c }: { c: PortalContext }) {
  const names = words(c).t.team;
  const memberships = c.get('memberships');
  if (memberships.length < 2) return null;
  return (
    <form method="post" action="/team/switch" class="mt-12 flex max-w-xl flex-wrap items-end gap-3">
      <div class="grow">
        <SelectField
          c={c}
          name="accountId"
          label={names.switchTo}
          value={c.get('accountId')}
          options={memberships.map(({ accountId, accountName, role }) => [
            accountId,
            `${accountName} (${names.roles[role]})`,
          ])}
        />
      </div>
      <button class="btn" type="submit">
        {names.switch}
      </button>
    </form>
  );
}
