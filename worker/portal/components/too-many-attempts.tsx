/** The callout of a page whose form was sent too often. It sets `Retry-After`, so that no such page can lack it. */
import { type PortalContext, words } from '../frame/context.ts';
import { Callout } from './callout.tsx';

export function TooManyAttempts({ c, waitMs }: { c: PortalContext; waitMs: number }) {
  const { t, f } = words(c);
  // a page is rendered before its response, and thereby its headers, are made
  c.header('Retry-After', String(Math.ceil(waitMs / 1000)));
  return <Callout tone="error">{t.tooManyAttempts(f.duration(waitMs))}</Callout>;
}
