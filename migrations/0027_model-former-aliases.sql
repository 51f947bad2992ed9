ALTER TABLE `model` ADD `former_aliases` text DEFAULT '[]' NOT NULL;--> statement-breakpoint
-- What the chat templates of the seeded models add to a prompt, which was in code before. Other models have wider bounds.
UPDATE model SET profile = json_set(profile, '$.templateBytes', json('{"request":0,"tools":512,"tool":112}')) WHERE id IN ('deepseek-r1-0528', 'deepseek-r1-zero', 'deepseek-v3-0324');
