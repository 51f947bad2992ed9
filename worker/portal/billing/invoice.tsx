/** An invoice of the account as PDF, in the page's language. */
import { Hono } from 'hono';
import { invoicePdf } from '../../billing/invoice-pdf.ts';
import { database } from '../../db/client.ts';
import { findInvoice } from '../../db/invoices.ts';
import { invoiceName } from '../../domain/invoice.ts';
import { nanoUsd } from '../../domain/money.ts';
import { config } from '../../env.ts';
import { type PortalEnv, words } from '../frame/context.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { notFoundPage } from '../frame/not-found.tsx';
import { limitDownloads } from '../frame/rate-limits.tsx';

export const invoicePage = new Hono<PortalEnv>();

invoicePage.use('/invoices/*', signedIn, allowed('billing'), limitDownloads);

invoicePage.get('/invoices/:number{TG-[0-9]{6,9}}', async (c) => {
  const { t, f } = words(c);
  const number = Number(c.req.param('number').slice('TG-'.length));
  const row = await findInvoice(database(c.env), { accountId: c.get('accountId'), number });
  if (!row) return notFoundPage(c);
  const { buyer, amountNanoUsd, taxNanoUsd, issuedAtMs, purchaseOrder, orderId } = row;
  const countries = new Intl.DisplayNames(words(c).locale, { type: 'region' });
  const facts = {
    number,
    issuedAtMs,
    amountNanoUsd: nanoUsd(amountNanoUsd),
    taxNanoUsd: nanoUsd(taxNanoUsd),
    seller: config(c.env).seller,
    buyer: buyer ? [buyer.legalName, ...buyer.address.split('\n'), countries.of(buyer.country) ?? ''] : [],
    taxId: buyer?.taxId ?? null,
    purchaseOrder,
    orderId,
  };
  const texts = {
    dateText: f.date(issuedAtMs),
    amountText: f.usd(amountNanoUsd),
    taxText: f.usd(taxNanoUsd),
    totalText: f.usd(amountNanoUsd + taxNanoUsd),
  };
  const pdf = await invoicePdf(facts, { ...t.billing.invoicePdf, ...texts });
  return c.body(pdf as Uint8Array<ArrayBuffer>, 200, {
    'content-type': 'application/pdf',
    'content-disposition': `inline; filename="${invoiceName(number)}.pdf"`,
  });
});
