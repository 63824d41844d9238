"""The spiders, by the names that `anirec data crawl` takes."""

SPIDERS = {
    "jikan": "Titles of MyAnimeList with characters and portraits, by Jikan v4",
    "mal": "Titles of MyAnimeList by its API v2; characters by Jikan",
    "mal_lists": "Users' lists on MyAnimeList, by its API v2",
    "anilist_lists": "Users' lists on AniList, by its GraphQL API",
    "safebooru": "Posts of Safebooru, by its DAPI",
    "danbooru": "Posts of Danbooru, by its JSON API",
}
