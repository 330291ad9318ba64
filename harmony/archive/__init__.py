"""The embedded archive: a folder of DICOM files and an index that finds them.

    FOLDER/lock             held by the one process that may write here
    FOLDER/index.db         SQLite: patients, studies, series, instances
    FOLDER/objects/ab/ID.dcm  what is archived; Part 10 files, the data set as it was received
    FOLDER/incoming/ID.dcm  what is not committed yet

An ID is 128 random bits: no name of a file holds anything that a peer sent.

* `attributes`, `values`: what the index knows of an object, and in which form.
* `heads`: reads that from the beginning of a data set, and no further.
* `matching`, `searching`: a query as SQL, a row as an identifier. They hold no connection.
* `index`, `tables`: the one writer, the readers that it does not block, and what they see.
* `disk`, `objects`: files, and the order of the steps that makes them outlast a power cut.
* `arrivals`: one object from its first byte to the moment before its commit.
* `folder`: all of it together, opened, recovered and closed.
* `upkeep`: verify against the index, and make a new index from the files.
* `commits`, `file_data`: what of it tasks share, for the backend.

An object comes in by `Folder.arrival`, is durable under its ID after `Arrival.finish`, and
becomes part of the archive by `Folder.commit`; only then may anybody be told that it is stored.
All but `commits` and `file_data` blocks and knows nothing of trio; `harmony.backends.archive`
runs it in threads.
"""
