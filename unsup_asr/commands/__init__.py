"""The verbs of `unsup-asr`: one module for each family, imported when the verb is called."""
