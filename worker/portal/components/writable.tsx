/** Forms of an area. A role that may read but not write the area sees them disabled. */
import type { Child } from 'hono/jsx';
import type { Area } from '../../domain/team.ts';
import type { PortalContext } from '../frame/context.ts';
import { mayWrite } from '../frame/guard.ts';

export function Writable({ c, area, children }: { c: PortalContext; area: Area; children?: Child }) {
  return (
    <fieldset disabled={!mayWrite(c, area)} class="contents">
      {children}
    </fieldset>
  );
}
