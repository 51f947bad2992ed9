/** A table that a spreadsheet can open. */
import Papa from 'papaparse';

/** @param table.headers beside those of a CSV */
export function csvFile(table: {
  name: string;
  fields: readonly string[];
  data: readonly object[];
  headers?: Record<string, string>;
}): Response {
  const { name, fields, data, headers } = table;
  // a spreadsheet runs what begins with =, + or @
  const text = Papa.unparse({ fields: [...fields], data: [...data] }, { escapeFormulae: true });
  return new Response(`${text}\r\n`, {
    headers: {
      'content-type': 'text/csv; charset=utf-8; header=present',
      'content-disposition': `attachment; filename="${name}"`,
      ...headers,
    },
  });
}
