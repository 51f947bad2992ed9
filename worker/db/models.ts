/** Models as an operator adds and edits them. Each change has its audit row in the same batch. */
import { and, asc, eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import { MODELS_MAX, type ModelDefinition, namesOf, thinksByDefault } from '../domain/model-definition.ts';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { insertIf } from './insert-if.ts';
import { joinToken, model, modelEndRun, node, price } from './schema.ts';

export type ModelRow = typeof model.$inferSelect & {
  /** It has a price, so it is or was sold: its weights stay, and it cannot be deleted. */
  readonly sold: boolean;
  /** The profile as it is stored. */
  readonly profileText: string;
};

/** Every model, those without a profile or a price included. */
export async function listModelRows(db: Database): Promise<ModelRow[]> {
  const [models, sold] = await db.batch([
    db
      .select({ ...getTableColumns(model), profileText: sql<string>`${model.profile}`.as('profile_text') })
      .from(model)
      .orderBy(asc(model.id)),
    db.selectDistinct({ id: price.modelId }).from(price),
  ]);
  const ids = new Set(sold.map(({ id }) => id));
  return models.map((each) => ({ ...each, sold: ids.has(each.id) }));
}

/**
 * Adds a model, unless its names are taken or there are as many as may be. One statement checks and writes, so of two
 * operators who want one name one gets nothing.
 * @returns whether it was added
 */
export async function insertModel(
  db: Database,
  definition: ModelDefinition,
  entry: AuditEntry,
): Promise<boolean> {
  const condition = sql`not ${areTaken(definition)} and (select count(*) from model) < ${MODELS_MAX}`;
  const [added] = await db.batch([
    insertIf(db, model, { ...columnsOf(definition), formerAliases: [] }, condition),
    addAuditIfChanged(db, entry),
  ]);
  return added.meta.changes === 1;
}

/**
 * Writes a model's fields if its names are free, they are still those that were read, and its weights stay where it has been
 * sold.
 * @returns whether it was written
 */
export async function updateModel(
  db: Database,
  { before, after, former }: { before: ModelRow; after: ModelDefinition; former: readonly string[] },
  entry: AuditEntry,
): Promise<boolean> {
  const { id: _, ...columns } = columnsOf(after);
  const { repository, commit } = after.profile;
  const isUnsold = sql`not exists (select 1 from ${price} where ${price.modelId} = ${after.id})`;
  const hasSameWeights = sql`(${model.revision} = ${after.revision}
    and json_extract(${model.profile}, '$.repository') = ${repository}
    and json_extract(${model.profile}, '$.commit') is ${commit})`;
  // A row from before there were profiles has none yet.
  const hasNoProfile = sql`json_extract(${model.profile}, '$.repository') is null`;
  const [changed] = await db.batch([
    db
      .update(model)
      .set({ ...columns, formerAliases: [...former] })
      .where(
        and(
          eq(model.id, after.id),
          eq(model.name, before.name),
          eq(model.revision, before.revision),
          eq(model.license, before.license),
          eq(model.contextTokens, before.contextTokens),
          eq(model.outputTokensMax, before.outputTokensMax),
          eq(model.outputTokensDefault, before.outputTokensDefault),
          sql`${model.profile} is ${before.profileText}`,
          sql`json(${model.modelPaths}) = json(${JSON.stringify(before.modelPaths)})`,
          sql`json(${model.aliases}) = json(${JSON.stringify(before.aliases)})`,
          sql`json(${model.formerAliases}) = json(${JSON.stringify(before.formerAliases)})`,
          sql`not ${areTaken(after)}`,
          sql`(${isUnsold} or ${hasNoProfile} or ${hasSameWeights})`,
        ),
      ),
    addAuditIfChanged(db, entry),
  ]);
  return changed.meta.changes === 1;
}

/** Deletes a model that has neither a price nor a node, a join token or an announced end. @returns whether it did */
export async function deleteModel(db: Database, modelId: string, entry: AuditEntry): Promise<boolean> {
  const unused = [price, node, joinToken, modelEndRun].map(
    (table) => sql`not exists (select 1 from ${table} where ${table.modelId} = ${modelId})`,
  );
  const [gone] = await db.batch([
    db.delete(model).where(and(eq(model.id, modelId), ...unused)),
    addAuditIfChanged(db, entry),
  ]);
  return gone.meta.changes === 1;
}

function columnsOf(definition: ModelDefinition) {
  const { aliases, modelPaths, ...rest } = definition;
  return {
    ...rest,
    aliases: [...aliases],
    modelPaths: [...modelPaths],
    reasoning: thinksByDefault(definition.profile),
  };
}

/** Whether another model has, or has had, one of the names. */
function areTaken(definition: ModelDefinition): SQL {
  const names = sql`(select value from json_each(${JSON.stringify(namesOf(definition))}))`;
  return sql`exists (select 1 from model as other where other.id <> ${definition.id} and (
    other.id in ${names}
    or exists (select 1 from json_each(other.aliases) where lower(value) in ${names})
    or exists (select 1 from json_each(other.former_aliases) where lower(value) in ${names})))`;
}
