/** The mailbox of a development installation, which keeps its e-mails instead of sending them. Elsewhere a 404. */
import { Hono } from 'hono';
import { createMiddleware } from 'hono/factory';
import { isId } from '../../domain/ids.ts';
import { config } from '../../env.ts';
import { type KeptEmail, keptEmail, keptEmails } from '../../notifications/email/dev-mailbox.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';

const SHOWN_MAX = 50;

const inDevelopment = createMiddleware<PortalEnv>(async function inDevelopment(c, next) {
  if (!config(c.env).development) return notFoundPage(c);
  await next();
});

export const mailboxPage = new Hono<PortalEnv>();

mailboxPage.use(inDevelopment);

mailboxPage.get('/', async (c) => {
  const { t, f } = words(c);
  const names = t.people.mailbox;
  const emails = await keptEmails(c.env, SHOWN_MAX);
  return page(
    c,
    { title: names.title },
    <>
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-8">{names.lead}</p>
      {emails.length === 0 ? (
        <p>{names.empty}</p>
      ) : (
        <Sheet label={names.title}>
          <Heads names={[names.subject, names.to, names.at]} />
          <tbody>
            {emails.map(({ id, subject, to, atMs }) => (
              <tr>
                <th scope="row" class="wraps font-normal">
                  <a class="link" href={`/mailbox/${id}`}>
                    {subject}
                  </a>
                </th>
                <td>{to}</td>
                <td>{f.dateTime(atMs)}</td>
              </tr>
            ))}
          </tbody>
        </Sheet>
      )}
    </>,
  );
});

mailboxPage.get('/:emailId', async (c) => {
  const email = await findEmail(c, c.req.param('emailId'));
  if (!email) return notFoundPage(c);
  const { t, f } = words(c);
  const names = t.people.mailbox;
  return page(
    c,
    { title: email.subject },
    <>
      <p class="mb-4 text-sm">
        <a class="link" href="/mailbox">
          {names.back}
        </a>
      </p>
      <h1 class="mb-2">{email.subject}</h1>
      <p class="muted mb-6">
        {email.to}, {f.dateTime(email.atMs)}
      </p>
      <h2 class="mb-2">{names.asText}</h2>
      <div class="panel mb-8 px-5 py-4 break-words whitespace-pre-wrap">{withLinks(email.text)}</div>
      <h2 class="mb-2">{names.asHtml}</h2>
      <iframe src={`/mailbox/${email.id}/html`} title={names.asHtml} class="panel h-[36rem] w-full" />
    </>,
  );
});

/** The e-mail as a mail client shows it: without scripts and with its own inline styles. See frame/security.ts. */
mailboxPage.get('/:emailId/html', async (c) => {
  const email = await findEmail(c, c.req.param('emailId'));
  return email ? c.html(email.html) : notFoundPage(c);
});

async function findEmail(c: PortalContext, id: string): Promise<KeptEmail | null> {
  return isId('ltr', id) ? keptEmail(c.env, id) : null;
}

function withLinks(text: string) {
  return text.split(/(https?:\/\/\S+)/).map((part) =>
    /^https?:/.test(part) ? (
      <a class="link break-all" href={part}>
        {part}
      </a>
    ) : (
      part
    ),
  );
}
