"""Reading of a person's own list: exports of MyAnimeList, AniList and Kitsu, and tables of titles and scores.

    MyAnimeList  XML, also packed by gzip; <anime> with series_animedb_id, series_title, my_score, my_status
    AniList      JSON of its GraphQL query MediaListCollection, with the user's scoreFormat
    Kitsu        JSON:API pages of library entries, with the included anime and mappings; or MyAnimeList's XML
    a table      CSV or TSV with a column of titles or ids and, optionally, of scores and statuses

The content decides the format. Lists come from strangers: sizes are bounded, and XML must not declare entities.
"""
