/** The 404 page. It is the same for what does not exist and for what belongs to another account. */
import { type PortalContext, words } from './context.ts';
import { page } from './layout.tsx';

export function notFoundPage(c: PortalContext) {
  const { t } = words(c);
  return page(
    c,
    { title: t.notFound.title, narrow: true, status: 404, back: '/' },
    <>
      <h1 class="mb-3">{t.notFound.title}</h1>
      <p class="mb-6">{t.notFound.text}</p>
      <a href="/" class="btn">
        {t.notFound.home}
      </a>
    </>,
  );
}
