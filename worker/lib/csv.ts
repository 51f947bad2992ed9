/** CSV downloads. */
import Papa from 'papaparse';

/** Starts of cells that a spreadsheet would run as a formula; in Chinese and Japanese also in full width. */
const FORMULA = /^[=+\-@\t\r＝＋－＠]/u;

/** A CSV file as a download. @param table.headers response headers besides those of the CSV */
export function csvFile(table: {
  name: string;
  fields: readonly string[];
  data: readonly object[];
  headers?: Record<string, string>;
}): Response {
  const { name, fields, data, headers } = table;
  const text = Papa.unparse({ fields: [...fields], data: [...data] }, { escapeFormulae: FORMULA });
  return new Response(`${text}\r\n`, {
    headers: {
      'content-type': 'text/csv; charset=utf-8; header=present',
      'content-disposition': `attachment; filename="${name}"`,
      ...headers,
    },
  });
}
