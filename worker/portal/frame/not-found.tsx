/** No such page, and nothing of whether it exists for somebody else. */
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
