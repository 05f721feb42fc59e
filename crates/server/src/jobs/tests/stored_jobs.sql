-- A job database as an earlier version of the program wrote it: a job that has succeeded, one that was running when the server was
-- killed after two of its four windows, and a queued one. Only the text " stored" was put in by hand.
-- Here the options have the field "rules" and the windows the field "forgets".
BEGIN TRANSACTION;
CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        name TEXT,
        path TEXT,
        model TEXT NOT NULL,
        options TEXT NOT NULL,
        created INTEGER NOT NULL,
        started INTEGER,
        finished INTEGER,
        done REAL NOT NULL DEFAULT 0,
        total REAL,
        error TEXT,
        -- How often work was begun since the last window was kept.
        starts INTEGER NOT NULL DEFAULT 0
    , kills INTEGER NOT NULL DEFAULT 0, warnings TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "jobs" VALUES(1,'job_31d69055ab83e43331b6203200318818','succeeded','finished','short.wav','base','{"language":null,"languages":[],"multilingual":false,"task":"transcribe","strategy":"batched","beam_size":1,"patience":1.0,"length_penalty":null,"temperatures":[0.0,0.2,0.4,0.6,0.8,1.0],"best_of":5,"compression_ratio_threshold":2.4,"logprob_threshold":-1.0,"no_speech_threshold":0.6,"initial_prompt":null,"hotwords":null,"prefix":null,"condition_on_previous_text":false,"rules":{"suppress_listed":true,"suppress":[],"suppress_blank":true,"max_initial_timestamp":1.0,"no_repeat_ngram_size":0,"repetition_penalty":1.0},"word_timestamps":false,"vad":{"threshold":0.4,"min_speech":0.1,"min_silence":0.1,"padding":0.5},"clips":[]}',1795896798,1795896798,1795896798,2.0,2.0,NULL,0,0,'[]');
INSERT INTO "jobs" VALUES(2,'job_0a0119b53814cc0f0be515f8fb3c25ce','running','half done','talk.wav','base','{"language":null,"languages":[],"multilingual":false,"task":"transcribe","strategy":"batched","beam_size":1,"patience":1.0,"length_penalty":null,"temperatures":[0.0,0.2,0.4,0.6,0.8,1.0],"best_of":5,"compression_ratio_threshold":2.4,"logprob_threshold":-1.0,"no_speech_threshold":0.6,"initial_prompt":null,"hotwords":null,"prefix":null,"condition_on_previous_text":false,"rules":{"suppress_listed":true,"suppress":[],"suppress_blank":true,"max_initial_timestamp":1.0,"no_repeat_ngram_size":0,"repetition_penalty":1.0},"word_timestamps":false,"vad":{"threshold":0.4,"min_speech":0.1,"min_silence":0.1,"padding":0.5},"clips":[]}',1795896798,1795896798,NULL,34.62,70.0,NULL,0,0,'[]');
INSERT INTO "jobs" VALUES(3,'job_fc2cc1b5483748558d5546219f658201','queued','queued','short.wav','base','{"language":"english","languages":[],"multilingual":false,"task":"transcribe","strategy":"batched","beam_size":1,"patience":1.0,"length_penalty":null,"temperatures":[0.4,0.6,0.8,1.0],"best_of":5,"compression_ratio_threshold":2.4,"logprob_threshold":-1.0,"no_speech_threshold":0.6,"initial_prompt":"Guten Tag.","hotwords":"Amanuensis, Gänge","prefix":null,"condition_on_previous_text":false,"rules":{"suppress_listed":true,"suppress":[],"suppress_blank":true,"max_initial_timestamp":1.0,"no_repeat_ngram_size":0,"repetition_penalty":1.0},"word_timestamps":true,"vad":{"threshold":0.6,"min_speech":0.1,"min_silence":0.3,"padding":0.5},"clips":[]}',1795896798,NULL,NULL,0.0,NULL,NULL,0,0,'[]');
CREATE TABLE windows (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        -- Segments in this window and those before it.
        segments INTEGER NOT NULL,
        content TEXT NOT NULL,
        PRIMARY KEY (job, number)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "windows" VALUES(1,0,1,'{"start":0,"end":200,"segments":[{"id":0,"seek":0,"start":0.74,"end":2.0,"text":" q","tokens":[71,16,812],"temperature":0.2,"avg_logprob":-1.9835496,"compression_ratio":1.55,"no_speech_prob":0.00008014974,"flags":["low_confidence"]}],"forgets":false}');
INSERT INTO "windows" VALUES(2,0,1,'{"start":0,"end":1846,"segments":[{"id":0,"seek":0,"start":0.74,"end":15.56,"text":" q","tokens":[71,16,812],"temperature":0.2,"avg_logprob":-1.9366322,"compression_ratio":1.4090909,"no_speech_prob":0.00007579384,"flags":["low_confidence"]}],"forgets":false}');
INSERT INTO "windows" VALUES(2,1,3,'{"start":1846,"end":3462,"segments":[{"id":1,"seek":1846,"start":19.2,"end":34.02,"text":" q","tokens":[71,16,812],"temperature":0.2,"avg_logprob":-2.0435917,"compression_ratio":1.2857143,"no_speech_prob":0.000077536795,"flags":["low_confidence"]},{"id":2,"seek":1846,"start":34.02,"end":34.62,"text":" stored","tokens":[812,25,1317],"temperature":0.2,"avg_logprob":-2.0435917,"compression_ratio":1.2857143,"no_speech_prob":0.000077536795,"flags":["low_confidence"]}],"forgets":false}');
CREATE INDEX jobs_by_state ON jobs (state, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',3);
PRAGMA user_version = 2;
COMMIT;
