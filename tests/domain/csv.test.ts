/** CSV downloads: no text of a customer is a formula in the spreadsheet of whoever opens the file. */
import { expect, it } from 'vitest';
import { csvFile } from '../../worker/lib/csv.ts';

it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '＝1+1', '＋1', '－1', '＠SUM(A1)'])(
  'the text %j becomes text in a spreadsheet, too',
  async (name) => {
    const file = await csvFile({ name: 'a.csv', fields: ['name'], data: [{ name }] }).text();
    const [, cell] = file.split('\r\n');
    expect(cell!.replace(/^"/, '')[0]).toBe("'");
  },
);

it('numbers and other texts stay as they are', async () => {
  const data = [{ name: 'a=1', count: -5 }];
  const file = csvFile({ name: 'a.csv', fields: ['name', 'count'], data });
  expect(await file.text()).toBe('name,count\r\na=1,-5\r\n');
});
