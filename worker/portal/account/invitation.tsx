/** An invitation, opened through the link of its e-mail: the inviting account, and one click to join. */
import { Hono } from 'hono';
import { takeLink } from '../../identity/credentials.ts';
import { accept, openInvitation } from '../../identity/team.ts';
import { linkOver } from '../auth/ask-email.tsx';
import { withNext } from '../auth/sign-in-parts.tsx';
import { tooManyAttemptsPage } from '../auth/too-many-attempts.tsx';
import { Callout } from '../components/callout.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { rememberAccount } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';

export const invitationPage = new Hono<PortalEnv>();

invitationPage.get('/:token', (c) => show(c, c.req.param('token')));

invitationPage.post('/:token', async (c) => {
  const { retryAfterMs } = await takeLink(c.env, c.req.raw.headers, Date.now());
  if (retryAfterMs > 0) return tooManyAttemptsPage(c, words(c).t.team.overTitle, retryAfterMs);
  const person = c.get('person');
  const token = c.req.param('token');
  if (!person) return show(c, token);
  const { result, accountId } = await accept(c.env, { token, person, nowMs: Date.now() });
  if (result === 'accepted') rememberAccount(c, accountId!);
  if (result === 'accepted') return c.redirect('/start', 303);
  return show(c, token, { isTeamFull: result === 'team_full' });
});

async function show(c: PortalContext, token: string, { isTeamFull } = { isTeamFull: false }) {
  const { t } = words(c);
  const names = t.team;
  const open = await openInvitation(c.env, token, Date.now());
  if (!open) return linkOver(c, null, { title: names.overTitle, text: names.over });
  const { invitation, accountName, invitedBy } = open;
  const title = names.invitationTitle(accountName);
  return page(
    c,
    { title, narrow: true, status: isTeamFull ? 422 : 200 },
    <>
      <h1 class="mb-3">
        <bdi>{title}</bdi>
      </h1>
      {isTeamFull && <Callout tone="error">{names.teamFull}</Callout>}
      <p class="mb-1">{names.invitationText(invitedBy, names.roles[invitation.role])}</p>
      <p class="muted mb-6 text-sm">{names.rights[invitation.role]}</p>
      <NextStep c={c} email={invitation.email} path={`/invitation/${token}`} />
    </>,
  );
}

/** Sign-in for a visitor, joining for the invited person, an explanation for anybody else. */
function NextStep({ c, email, path }: { c: PortalContext; email: string; path: string }) {
  const { t } = words(c);
  const names = t.team;
  const person = c.get('person');
  if (!person)
    return (
      <>
        <p class="mb-4 break-words">{names.signInFirst(email)}</p>
        <div class="flex flex-wrap gap-3">
          <a class="btn btn-primary" href={withNext('/sign-in', path)}>
            {t.signIn.title}
          </a>
          <a class="btn" href={withNext('/sign-up', path)}>
            {t.signUp.title}
          </a>
        </div>
      </>
    );
  if (person.email.toLowerCase() !== email)
    return <p class="break-words">{names.otherAddress(email, person.email)}</p>;
  return (
    <form method="post">
      <button class="btn btn-primary" type="submit">
        {names.accept}
      </button>
    </form>
  );
}
