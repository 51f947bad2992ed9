/** The printed table of a run: how often each operation was answered with each status. */

/** @param answers counts by "METHOD path status" */
export function answersTable(answers: Readonly<Record<string, number>>): string {
  const cells = Object.entries(answers).map(([name, count]) => {
    const [method, path, status] = name.split(' ');
    return { operation: `${method} ${path}`, status: status!, count };
  });
  const statuses = [...new Set(cells.map(({ status }) => status))].sort();
  const operations = [...new Set(cells.map(({ operation }) => operation))].sort();
  const total = (matches: (cell: (typeof cells)[number]) => boolean) =>
    cells.filter(matches).reduce((sum, { count }) => sum + count, 0);
  const row = (name: string, counts: readonly (number | string)[]) =>
    name.padEnd(34) + counts.map((count) => String(count || '·').padStart(8)).join('');
  return [
    row('operation', ['cases', ...statuses]),
    ...operations.map((operation) =>
      row(operation, [
        total((cell) => cell.operation === operation),
        ...statuses.map((status) => total((cell) => cell.operation === operation && cell.status === status)),
      ]),
    ),
    row('all', [total(() => true), ...statuses.map((status) => total((cell) => cell.status === status))]),
  ].join('\n');
}
