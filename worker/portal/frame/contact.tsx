/** The operator's e-mail address as a link; nothing where CONTACT_EMAIL is not set. */
import { config } from '../../env.ts';
import type { PortalContext } from './context.ts';

export function Contact({ c }: { c: PortalContext }) {
  const { contactEmail } = config(c.env);
  return (
    contactEmail && (
      <a class="link" href={`mailto:${contactEmail}`}>
        {contactEmail}
      </a>
    )
  );
}
