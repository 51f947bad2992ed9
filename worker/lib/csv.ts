/** CSV downloads. */
import Papa from 'papaparse';

/** A CSV file as a download. @param table.headers response headers besides those of the CSV */
export function csvFile(table: {
  name: string;
  fields: readonly string[];
  data: readonly object[];
  headers?: Record<string, string>;
}): Response {
  const { name, fields, data, headers } = table;
  // A spreadsheet would run a cell that begins with =, +, - or @ as a formula.
  const text = Papa.unparse({ fields: [...fields], data: [...data] }, { escapeFormulae: true });
  return new Response(`${text}\r\n`, {
    headers: {
      'content-type': 'text/csv; charset=utf-8; header=present',
      'content-disposition': `attachment; filename="${name}"`,
      ...headers,
    },
  });
}
