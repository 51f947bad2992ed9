/**
 * A notice as an e-mail. Nobody's language is known where a notice is written, so it is said in each of the portal's,
 * the first of them first. Names that customers give to things are left out: addresses need not be verified, and a
 * stranger's inbox is no place for text that somebody else chose.
 */
import { database } from '../../db/client.ts';
import { findKey } from '../../db/keys.ts';
import { maskedApiKey } from '../../domain/api-key.ts';
import type { Notification } from '../../domain/notice.ts';
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
      link: { text: t.alerts.letterLink, url: publicOrigin + path },
      small: `${t.alerts.letterWhy} ${publicOrigin}/alerts`,
    };
  });
  return renderEmail(parts);
}
