/** The callout of a page whose form was sent too often. */
import { type PortalContext, words } from '../frame/context.ts';
import { Callout } from './callout.tsx';

export function TooManyAttempts({ c, waitMs }: { c: PortalContext; waitMs: number }) {
  const { t, f } = words(c);
  return <Callout tone="error">{t.tooManyAttempts(f.duration(waitMs))}</Callout>;
}
