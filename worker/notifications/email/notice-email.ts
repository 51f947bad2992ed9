/**
 * A notice as an e-mail. The reader's language is unknown where a notice is sent, so the e-mail holds every language
 * of the portal, in the portal's order. Names that customers choose are left out: otherwise an
 * account could send text of its own to the inbox of anyone who once joined it.
 */
import { database } from '../../db/client.ts';
import { findKey } from '../../db/keys.ts';
import { maskedApiKey } from '../../domain/api-key.ts';
import { isAlwaysMailed, type Notification } from '../../domain/notice.ts';
import { config, type Env } from '../../env.ts';
import { formats } from '../../i18n/formats.ts';
import { LOCALES, MESSAGES } from '../../i18n/locale.ts';
import { noticeWords } from '../wording.ts';
import type { Email } from './email.ts';
import { type EmailContent, renderEmail } from './template.tsx';

export async function noticeEmail(env: Env, notification: Notification): Promise<Omit<Email, 'to'>> {
  const { notice, accountId } = notification;
  const { publicOrigin } = config(env);
  const key =
    notice.kind === 'cap.used' && notice.keyId !== null
      ? await findKey(database(env), { accountId, keyId: notice.keyId })
      : null;
  const keyLabel = key && maskedApiKey(key.lastFour);
  const parts = LOCALES.map((locale): EmailContent => {
    const t = MESSAGES[locale];
    const { title, text, path } = noticeWords(notice, { t, f: formats(locale) }, keyLabel);
    return {
      locale,
      title,
      paragraphs: [text],
      link: { text: t.alerts.emailLink, url: publicOrigin + path },
      small: `${isAlwaysMailed(notice) ? t.alerts.emailReasonModel : t.alerts.emailReason} ${publicOrigin}/alerts`,
    };
  });
  return renderEmail(parts);
}
